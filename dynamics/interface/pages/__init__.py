"""A report: everything that is known of one data set and one network, as one page that needs no network.

`findings` collects, `document` writes the page, `equations` the laws behind it.
"""
