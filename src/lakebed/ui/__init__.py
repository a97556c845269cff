"""The live page of `lakebed ui`: a stack's services, connectors, topics, subjects and tables in a browser.

What a screen shows is made by plain functions from a `Look` (`looking`); `pages` and the templates only put
it into words; `access` decides who may see it.
"""
