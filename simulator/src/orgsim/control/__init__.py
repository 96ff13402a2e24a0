"""The second port, for tests: clock, people and apps, journal, faults, policies, reset.

`app.py` is HTTP in and out, `requests.py` what may be asked, `views.py` what is answered,
`problems.py` how it says no, `changes.py` carries out an admin's or a developer's change. A new
call is a route in `app.py` with a model on either side; its document writes itself.
"""
