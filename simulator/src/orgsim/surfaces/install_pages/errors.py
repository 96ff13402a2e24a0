"""What the pages say when a package cannot be installed, in words of our own."""

NOT_ALLOWED = (
    "You do not have the level of access necessary to perform the operation you requested. Please"
    " contact the owner of the record or your administrator if access is necessary."
)
UNKNOWN_VERSION = (
    "The requested package does not yet exist or has been deleted. If this package was recently"
    " created, please try again in a few minutes, or contact the package publisher."
)
NOT_SHOWN = "This form was not shown to you, or it is too old. Open the install link again."
NOBODY_CHOSEN = "Choose for whom to install the package."
WRONG_KEY = "The installation key is not the one of this package version. Ask its publisher."
