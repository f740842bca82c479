"""The catalogue: what the field uses is there, and every entry is complete."""

import re

import pytest

from data_scripts.catalogue import catalogue, data_set
from starter.errors import InputError

FIELD = (
    "papalexi_thp1", "replogle_k562_essential", "replogle_k562_gwps", "replogle_rpe1", "nadig_hepg2", "nadig_jurkat",
    "vcc2025_train", "vcc2025_validation", "vcc2025_test", "vcc2025_support_set", "vcc2026", "jiang2025",
    "srivatsan2020", "mcfaline2024", "parse_10m_pbmc", "tahoe100m", "scbasecount", "norman2019", "adamson2016",
    "frangieh2021", "op3", "go", "string_v12", "reactome", "kegg", "dorothea", "collectri", "core_essential",
    "human_tfs", "hgnc", "scgpt_human", "geneformer", "esm2", "genept", "scelmo", "string_space",
)  # fmt: skip
BY_HAND = ("go_terms", "reactome_gmt", "dorothea_abc", "string_v12_symbols", "replogle_ranks", "gene_names", "vcc2026",
           "geneformer", "scelmo")  # fmt: skip
"""Of these a file has no address: it is a stand-in, or given out after login."""


def test_the_catalogue_has_what_the_field_uses():
    assert set(FIELD) <= set(catalogue())
    stand_ins = {"go": "go_terms", "reactome": "reactome_gmt", "dorothea": "dorothea_abc"}
    stand_ins["string_v12"] = "string_v12_symbols"
    assert {name: entry.stand_in for name, entry in catalogue().items() if entry.stand_in} == stand_ins
    with pytest.raises(InputError, match="no data set 'nobody'; it has papalexi_thp1"):
        data_set("nobody")


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_entry_is_complete(name: str):
    entry = catalogue()[name]
    assert entry.title
    assert entry.licence
    assert entry.source
    assert "doi:10." in entry.citation or re.search(r"[a-z]+\.(com|bio)/", entry.citation)
    assert len({file.name for file in entry.files}) == len(entry.files)
    for file in entry.files:
        assert file.urls or name in BY_HAND
        assert file.local
        for url in file.urls:
            assert re.match("(https|gs|s3)://[a-z0-9.-]+/.", url)
        for algorithm, digits in (
            ("sha256", "[0-9a-f]{64}"),
            ("md5", "[0-9a-f]{32}"),
            ("crc32c", "[A-Za-z0-9+/]{6}=="),
        ):
            due = file.hashes.get(algorithm)
            assert due is None or re.fullmatch(digits, due)
        assert not file.third_party or file.hashes
        if file.name.endswith((".h5ad", ".gz", ".zip")) and not (file.hashes and not file.third_party):
            assert file.magic, f"{file.name}: an error page would not be noticed"


def test_figures_that_two_catalogues_agree_on():
    for name, shape in (
        ("k562_essential", (310_385, 8_563)),
        ("k562_gwps", (1_989_578, 8_248)),
        ("rpe1", (247_914, 8_749)),
    ):
        entry = data_set(f"replogle_{name}")
        assert (entry.cells, entry.genes) == shape
        # a dense float32 matrix of the whole shape, and what describes cells and genes
        described = (entry.bytes or 0) - 4 * shape[0] * shape[1]
        assert 0 < described < 200 * shape[0]
    # numbers under which other files were seen to be published by mistake
    ids = [url.rpartition("/")[2] for entry in catalogue().values() for file in entry.files for url in file.urls
           if "figshare" in url]  # fmt: skip
    assert len(set(ids)) == len(ids) == 10
