-- The rater of a piece of feedback: the value of the first tag in `raters` that it has; empty without one.
arrayFirst(named -> named != '', arrayMap(tag -> tags[tag], {raters:Array(String)}))
