"""Who a token belongs to, and what a host says about itself: identity URL, userinfo, discovery."""
