"""MiniJinja macros that print JSON values as Python does.

The gateway's MiniJinja prints `1e-7` for 0.0000001 and `true` for True, and it sorts the keys of objects. Its `tojson`
escapes HTML. A macro never hides an argument, because its name starts with an underscore and no field's name does.
"""

# Workaround (tensorzero 2026.6): MiniJinja prints numbers, booleans and null in its own way, and `tojson` escapes HTML;
# remove when the gateway has a filter that prints as Python does.
_NUMBER = r"""{%- macro _num(v) -%}{#- a number as Python prints it: 1e-07, 1.5e-05 -#}
{%- set s -%}{%- autoescape 'json' -%}{{ v }}{%- endautoescape -%}{%- endset -%}{%- set d = s|replace('-', '') -%}
{%- if 'e-' in s -%}{%- set p = s|split('e-')|list -%}{{ p[0] }}e-{{ '0' if p[1]|length == 1 }}{{ p[1] }}
{%- elif d is startingwith('0.0000') -%}{{ '-' if v < 0 }}{{ d[6] }}{{ '.' if d|length > 7 }}{{ d[7:] }}e-05
{%- else -%}{{ s }}{%- endif -%}{%- endmacro -%}
"""

_JSON = r"""{%- macro _json(v) -%}{#- json.dumps(v, ensure_ascii=False, sort_keys=True) -#}
{%- if v is mapping -%}{{ '{' }}
{%- for k, w in v|items -%}{{ _json(k) }}: {{ _json(w) }}{{ ', ' if not loop.last }}{%- endfor -%}}
{%- elif v is sequence -%}[{%- for w in v -%}{{ _json(w) }}{{ ', ' if not loop.last }}{%- endfor -%}]
{%- elif v is number -%}{{ _num(v) }}
{%- else -%}{%- autoescape 'json' -%}{{ v }}{%- endautoescape -%}{%- endif -%}{%- endmacro -%}
"""

_TEXT = r"""{%- macro _text(v) -%}{#- str(v); JSON for lists and objects -#}
{%- if v is none -%}None{%- elif v is true -%}True{%- elif v is false -%}False{%- elif v is string -%}{{ v }}
{%- elif v is number -%}{{ _num(v) }}{%- else -%}{{ _json(v) }}{%- endif -%}{%- endmacro -%}
"""

_PASSAGES = r"""{%- macro _passage(s) -%}
{%- if '\n' in s or '«' in s or '»' in s -%}«««{{ '\n    ' ~ s|replace('\n', '\n    ') ~ '\n' }}»»»
{%- else -%}«{{ s }}»{%- endif -%}{%- endmacro -%}
{%- macro _passages(v) -%}{#- a list in a field without a type -#}
{%- if not v -%}N/A{%- elif v|length == 1 -%}{{ _passage(v[0]) }}
{%- else -%}{%- for s in v -%}[{{ loop.index }}] {{ _passage(s) }}{{ '\n' if not loop.last }}{%- endfor -%}
{%- endif -%}{%- endmacro -%}
"""

_MACROS = {"_num": _NUMBER, "_json": _JSON, "_text": _TEXT, "_passages": _PASSAGES}
_NEEDS = {"_num": (), "_json": ("_num",), "_text": ("_num", "_json"), "_passages": ()}


def with_needs(name: str) -> dict[str, str]:
    """Return the macro `name` and the macros that it calls, in an order in which they can be defined."""
    return {macro: _MACROS[macro] for macro in (*_NEEDS[name], name)}
