"""The OpenAI protocol over HTTP, in the order a request takes.

endpoint -> rate -> wire -> exchange -> respond
where       when    what    one try     the record
sse, answer, usage, fault
retry: one more try?
"""
