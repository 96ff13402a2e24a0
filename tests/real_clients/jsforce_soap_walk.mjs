// jsforce, unmodified, with nothing but an instance URL and a session id: the Metadata API by SOAP.
// Its input is one line of JSON on standard input; its answer one line of JSON.
import jsforce from "jsforce";

const input = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}));
const out = {};
const version = "68.0";

function connect(accessToken) {
  return new jsforce.Connection({ instanceUrl: input.instance_url, accessToken, version });
}

async function refused(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return [error.errorCode, error.message];
  }
}

const connection = connect(input.session_id);
const { metadata } = connection;
out.described = (await metadata.describe(version)).metadataObjects.map((one) => one.xmlName);
const deployed = metadata.deploy(Buffer.from(input.zip, "base64"), { rollbackOnError: true });
metadata.pollInterval = 100;
out.deployed = (await deployed.complete(true)).status;
out.listed = (await metadata.list({ type: "ExternalClientApplication" }, version)).map((one) => one.fullName);
const { fullName, contactEmail } = await metadata.read("ExternalClientApplication", "By_Jsforce");
out.read = { fullName, contactEmail };

const stranger = connect(`${input.session_id.slice(0, 16)}${"x".repeat(43)}`);
out.stranger = await refused(() => stranger.metadata.describe(version));
out.resetPassword = await refused(() => connection.soap.resetPassword("005000000000001"));
const long = "y".repeat(70_000);
out.tooLate = await refused(() => connect(`${input.session_id}${long}`).metadata.describe(version));
console.log(JSON.stringify(out));
