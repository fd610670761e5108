"""A scripted OpenAI-compatible server, with which users can test their own programs."""

from localkit.scripted_upstream import RecordedRequest as RecordedRequest
from localkit.scripted_upstream import Reply as Reply
from localkit.scripted_upstream import Script as Script
from localkit.scripted_upstream import ScriptedUpstream as ScriptedUpstream
