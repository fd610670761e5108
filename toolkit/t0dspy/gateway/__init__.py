"""Call TensorZero's gateway, over HTTP or embedded in this process."""

from t0dspy.gateway.call import STAGE_TAGS as STAGE_TAGS
from t0dspy.gateway.call import Call as Call
from t0dspy.gateway.call import Completion as Completion
from t0dspy.gateway.call import Inference as Inference
from t0dspy.gateway.call import input_messages as input_messages
from t0dspy.gateway.http_gateway import HttpGateway as HttpGateway
from t0dspy.gateway.in_process import Gateway as Gateway
from t0dspy.gateway.in_process import embedded_gateway as embedded_gateway
from t0dspy.gateway.in_process import embedded_http_gateway as embedded_http_gateway
