-- Who gave a piece of feedback: the value of the first of the tags `raters` that it has; empty without one.
arrayFirst(named -> named != '', arrayMap(tag -> tags[tag], {raters:Array(String)}))
