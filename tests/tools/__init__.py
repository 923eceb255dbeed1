"""Commands for developers: lines of code, the figure of the packages, the page of the tables."""
