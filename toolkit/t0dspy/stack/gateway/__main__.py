"""`python -m t0dspy.stack.gateway`: the gateway's process."""

import sys

from t0dspy.stack.gateway.process import main

sys.exit(main())
