"""What the pages say when something is wrong.

Spec: the sentences of Salesforce's login page and RemoteAccessErrorPage (reported).
"""

LOGIN_FAILED = (
    "Please check your username and password. If you still can't log in, contact your Salesforce"
    " administrator."
)
TOO_MANY_LOGINS = "Login Rate Exceeded. Try again later."
ERROR_LEAD = (
    "We can't authorize you because of an OAuth error. For more information, contact your"
    " Salesforce administrator."
)
GENERIC = (
    "OAUTH_APPROVAL_ERROR_GENERIC : An unexpected error has occured during authentication."
    " Please try again."
)
REQUEST_GONE = "This authorization request has expired. Go back to the app and start again."
