"""The offline model: an OpenAI-compatible server without a network, a key, or any weights.

It works on what the prompt says, and on nothing else. It reads the chat messages that DSPy's adapters write (demos as
turns, or folded into the system message), finds out which task is asked for by the names of the output fields, and
computes an answer. Functions are *searched*: it composes small operations until the compositions agree with examples
in the prompt. A specification nobody thought of gets a real answer, right or wrong. The same request gets the same
answer. It knows no specification by heart and sees no hidden test, since no prompt holds one.

How well it does depends on the prompt, as with any model. These are the rules.

Instructions. It follows the first 60 words, and no sentence that forbids ("not", "never", "without", "ignore", "skip").
Its attention is caught by

    thorough    every, each or all before "examples": otherwise it reads only examples on lines of code, searches with
                the first example alone, and writes one test
    careful     "empty", "edge" or "nothing": otherwise it passes over sentences about the empty case
    divided     "section" with "own", "each", "separate" or "one": otherwise it plans everything as one section
    deep        "step", "combine", "compose", "several": otherwise it tries compositions of two operations, not many
    checking    "run", "check", "verify", "test" (as things to do): otherwise it approves of any code in a review

Of the functions of a section it writes the first two, whatever it is told.

Demos. What it sees done in a demo it does itself: an example found in a sentence makes it thorough, a requirement or a
line of code about the empty case careful, several sections divided, code of three steps and more deep, a review with
findings checking. The operations in a demo's code come to its mind first in its own.

Operations. Common ones always come to mind; the others do when a word in the requirements suggests them, or a demo uses
them.

As a prompt model it writes instructions for a task from what the prompt tells of it (see `proposing`). Some of what it
writes helps, some does not: that is what the optimizer is for.

Its scores show that a loop works. They say nothing about how good a model is.
"""
