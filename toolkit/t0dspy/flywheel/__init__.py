"""From logged inferences and people's feedback to a better version: pull, curate, optimize, judge."""
