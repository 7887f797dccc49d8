"""Go's templates, as Docker's commands use them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.cli.templates import TemplateInvalid, headers_of, rendered, unescaped

ROW = {
    "address": "10.32.0.2", "network_name": "web", "id": "1f6b2c000000ffff", "holders": ["db", "web"], "active": True,
    "until": None, "since": 12.0, "labels": {"a.b": "c"}, "endpoints": [{"name": "db", "ipv4": "10.32.0.2/24"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Address}}", "10.32.0.2"),
        ("{{ .Address }} in {{.NetworkName}}", "10.32.0.2 in web"),
        ("{{.ID}} {{.Id}} {{.id}} {{.network_name}}", "1f6b2c000000ffff " * 3 + "web"),
        ("{{json .Holders}}", '["db","web"]'),
        ("{{json .Address}}", '"10.32.0.2"'),
        ('{{join .Holders ", "}}', "db, web"),
        ("{{.Holders}}", "[db web]"),
        ("{{.Until}}{{.Since}} {{.Active}}", "12 true"),
        ("{{upper .NetworkName}} {{.NetworkName | upper | lower}}", "WEB web"),
        ("{{truncate .ID 12}}", "1f6b2c000000"),
        ("{{len .Holders}}", "2"),
        ('{{index .Labels "a.b"}}{{index .Holders 1}}', "cweb"),
        ("{{range .Endpoints}}{{.Name}}={{.IPv4}};{{end}}", "db=10.32.0.2/24;"),
        ("{{range .Holders}}{{.}} {{else}}nobody{{end}}", "db web "),
        ("{{range $.Holders}}{{$.Address}} {{end}}", "10.32.0.2 10.32.0.2 "),
        ("{{if .Until}}kept{{else}}for ever{{end}}", "for ever"),
        ('{{if eq .NetworkName "web" "x"}}yes{{end}}', "yes"),
        ('{{if and .Active (not .Until)}}a{{end}}{{if or .Until ""}}b{{end}}', "a"),
        ("{{with .NetworkName}}<{{.}}>{{end}}", "<web>"),
        ('{{printf "%-12s|%s" .Address .NetworkName}}', "10.32.0.2   |web"),
        ("a {{- .NetworkName -}} b", "awebb"),
        ("{{/* a comment */}}x", "x"),
        ('{{"a}b"}}', "a}b"),
        ("{{println .Address}}", "10.32.0.2\n"),
        ("no action", "no action"),
        ("{{slice .ID 0 4}}{{slice .Holders 1}}", "1f6b[web]"),
        ("{{range $number, $name := .Holders}}{{$number}}={{$name}} {{end}}", "0=db 1=web "),
        ("{{range $key, $value := .Labels}}{{$key}}={{$value}}{{end}}", "a.b=c"),
        ("{{range $each := .Endpoints}}{{$each.Name}} in {{$.NetworkName}}{{end}}", "db in web"),
        ("{{$a := .Address}}{{with .ID}}{{$a}}{{end}}", "10.32.0.2"),
    ],
)
def test_a_template_is_what_docker_makes_of_it(template: str, text: str) -> None:
    """Fields, functions, pipes, branches and loops."""
    assert rendered(template, ROW) == text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{.Adress}}", "there is no field .Adress; there are .Address, .NetworkName, .ID"),
        ("{{.Address.Name}}", "in what is no record"),
        ("{{foo .Address}}", "'foo' is neither a field, a value nor a function"),
        ("{{.Address", "{{ has no }}"),
        ("{{if .Active}}x", "has no {{end}}"),
        ("{{end}}", "ends nothing"),
        ("{{$x.Name}}", "there is no variable $x"),
        ("{{else}}", "has no place here"),
        ("{{}}", "is empty"),
        ("{{.Address .ID}}", "one value"),
        ('{{join .Since ","}}', "join cannot take that"),
        ("{{(.Address}}", "( has no )"),
        ("{{index .Holders 7}}", "index cannot take that"),
    ],
)
def test_what_is_wrong_is_said(template: str, words: str) -> None:
    """One line, with what there is instead."""
    with pytest.raises(TemplateInvalid) as caught:
        rendered(template, ROW)
    assert words in str(caught.value)


def test_a_table_has_the_names_of_its_fields() -> None:
    """As `table` of Docker has them."""
    assert (
        headers_of('{{.Address}}\t{{upper .NetworkName}}\t{{join .Holders ", "}}') == "ADDRESS\tNETWORK NAME\tHOLDERS"
    )
    assert unescaped(r"{{.A}}\t{{.B}}\n") == "{{.A}}\t{{.B}}\n"


@given(st.text(alphabet=' {}.|()"`$AaIf-/*end range', max_size=60))
def test_any_text_is_rendered_or_refused(template: str) -> None:
    """Never anything else."""
    try:
        rendered(template, ROW)
    except TemplateInvalid as error:
        assert str(error)  # noqa: PT017  either is right
