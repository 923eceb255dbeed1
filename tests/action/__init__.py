"""The action, run by what plays GitHub's runner; `nox -s action_tests`."""
