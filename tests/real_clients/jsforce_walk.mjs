// jsforce, unmodified: authorization code with PKCE, refresh, query, CRUD, collections.
// Its input is one line of JSON on standard input; its answer one line of JSON.
import jsforce from "jsforce";

const input = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}));
const out = {};

async function walk() {
  const oauth2 = new jsforce.OAuth2({
    loginUrl: input.login_url,
    clientId: input.consumer_key,
    clientSecret: input.consumer_secret,
    redirectUri: input.redirect_uri,
    useVerifier: true,
  });
  const authorize = oauth2.getAuthorizationUrl({ scope: "api refresh_token id", state: "s1" });
  const code = await browse(authorize);
  const connection = new jsforce.Connection({ oauth2, version: "68.0" });
  const user = await connection.authorize(code);
  out.organizationId = user.organizationId;
  out.hasRefreshToken = Boolean(connection.refreshToken);

  const found = await connection.query("SELECT Id, Name FROM Contact ORDER BY Name LIMIT 5");
  out.queried = found.records.length;
  out.identity = (await connection.identity()).organization_id;

  const made = await connection.sobject("Account").create({ Name: "Made by jsforce" });
  out.created = made.success;
  await connection.sobject("Account").update({ Id: made.id, Name: "Changed by jsforce" });
  out.changed = (await connection.sobject("Account").retrieve(made.id)).Name;
  await connection.sobject("Account").destroy(made.id);
  const several = await connection.sobject("Contact").create([
    { LastName: "One" }, { LastName: "Two" }, { FirstName: "without a last name" },
  ]);
  out.collection = several.map((one) => one.success);
  await connection.sobject("Contact").destroy(several.filter((one) => one.success).map((one) => one.id));
  out.described = (await connection.sobject("Opportunity").describe()).name;
  out.limits = (await connection.limits()).DailyApiRequests.Max;
  try {
    await connection.query("SELECT Nope FROM Contact");
  } catch (error) {
    out.refused = error.errorCode;
  }

  const before = connection.accessToken;
  const rotated = connection.refreshToken;
  connection.accessToken = `${before.slice(0, 16)}invalid`;
  connection.on("refresh", (token, answer) => {
    out.refreshed = token !== before;
    out.rotated = answer.refresh_token !== rotated;
  });
  out.queriedAfterRefresh = (await connection.query("SELECT Id FROM Contact LIMIT 1")).records.length;
}

// A person's browser: login page, consent page, and the redirect with the code, unopened.
async function browse(url) {
  const jar = new Map();
  const remember = (answer) => {
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(";");
      const at = pair.indexOf("=");
      jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
  };
  const cookies = () => ({ cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") });
  let answer = await fetch(url, { redirect: "manual", headers: cookies() });
  let at = url;
  for (let step = 0; step < 12; step += 1) {
    remember(answer);
    if (answer.status >= 300 && answer.status < 400) {
      at = new URL(answer.headers.get("location"), at).href;
      if (at.startsWith(input.redirect_uri)) return new URL(at).searchParams.get("code");
      answer = await fetch(at, { redirect: "manual", headers: cookies() });
      continue;
    }
    const page = await answer.text();
    const fields = new URLSearchParams();
    for (const [tag] of page.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
      fields.set(/name="([^"]*)"/.exec(tag)[1], unescaped(/value="([^"]*)"/.exec(tag)[1]));
    }
    if (page.includes('id="Login"')) {
      fields.set("username", input.username);
      fields.set("pw", input.password);
    } else if (page.includes('id="oaapprove"')) {
      fields.set("decision", "allow");
    } else {
      throw new Error(`no form at ${new URL(at).pathname}: ${answer.status}`);
    }
    const action = /<form[^>]*action="([^"]*)"/.exec(page);
    at = new URL(action ? unescaped(action[1]) : at, at).href;
    answer = await fetch(at, {
      method: "POST", redirect: "manual", body: fields,
      headers: { ...cookies(), origin: new URL(at).origin },
    });
  }
  throw new Error("too many steps");
}

function unescaped(text) {
  return text.replaceAll("&#34;", '"').replaceAll("&quot;", '"').replaceAll("&#39;", "'")
    .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

await walk();
console.log(JSON.stringify(out));
