"""What a file is that is no `.h5ad`, and what to do with it."""

import h5py

FOREIGN = (
    (b"version https://git-lfs", "it is a Git LFS pointer, not the data",
     "fetch the data with: git lfs pull --include {name}"),
    (b"/annex/objects", "it is a git-annex pointer, not the data", "fetch the data with: git annex get {name}"),
    (b"../.git/annex", "it is a git-annex pointer, not the data", "fetch the data with: git annex get {name}"),
    (b"\x1f\x8b", "it is compressed with gzip", "unpack it with: gunzip {name}"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstandard", "unpack it with: zstd -d {name}"),
    (b"BZh", "it is compressed with bzip2", "unpack it with: bunzip2 {name}"),
    (b"\xfd7zXZ", "it is compressed with xz", "unpack it with: xz -d {name}"),
    (b"PK", "it is a zip archive", "unpack it with: unzip {name}, and give the file in it"),
    (b"Rar!", "it is a RAR archive", "unpack it, and give the file in it"),
    (b"7z\xbc\xaf", "it is a 7z archive", "unpack it, and give the file in it"),
    (b"<", "it is a web page (HTML or XML), not the data",
     "the link leads to a page or needs a login: open it in a browser, and download the file itself"),
    (b"{", "it is text (JSON), such as a server sends for an error", "download it again, and read what it says"),
    (b"PAR1", "it is a profile table (parquet)", "starter.prediction.cells makes cells of it"),
    (b"RDX", "it is an R data file", "in R, write it with anndataR::write_h5ad or zellkonverter::writeH5AD"),
    (b"%%MatrixMarket", "it is a matrix in text (Matrix Market)",
     "adata = anndata.io.read_mtx(FILE).T, label cells and genes, then adata.write_h5ad(NEW)"),
    (b"CDF", "it is a NetCDF file", "convert it to .h5ad"),
)  # fmt: skip
"""What a file may be that is no HDF5, by how it begins: what it is, and the way out."""


def kind_of(start: bytes, name: str) -> tuple[str, str]:
    """Say what a file is that is no HDF5, by how it begins, and what to do with it.

    Parameters
    ----------
    start
        Its first bytes.
    name
        Its name, for the command that helps.
    """
    for magic, what, way_out in FOREIGN:
        if start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(magic) or start.startswith(magic):
            return what, way_out.format(name=name, bare=name.removesuffix(".gz").removesuffix(".zst"))
    if not start:
        return "it is empty", "download or write it again"
    return f"it starts with {start[:8]!r}", "download or write it again"


def foreign_layout(file: h5py.File) -> str:
    """Say what an HDF5 file is that holds no AnnData object, and what to do with it; nothing if it is unknown."""
    # what is linked from elsewhere is not looked at
    own = {key: file[key] for key in file if isinstance(file.get(key, getlink=True), h5py.HardLink)}
    matrix, modalities = own.get("matrix"), own.get("mod")
    if any(isinstance(group, h5py.Group) and "barcodes" in group for group in own.values()):
        return (
            "it is a 10x Genomics matrix (CellRanger); adata = scanpy.read_10x_h5(FILE), then label the cells in "
            "adata.obs['target_gene'] and adata.write_h5ad(NEW)"
        )
    if isinstance(matrix, h5py.Dataset) and "row_attrs" in own:
        return "it is a loom file; adata = anndata.io.read_loom(FILE), then adata.write_h5ad(NEW)"
    if modalities is not None:
        return (
            f"it is a MuData file with {', '.join(modalities)}; adata = anndata.io.read_elem(h5py.File(FILE)"
            "['mod/rna']), then adata.write_h5ad(NEW)"
        )
    if "assays" in own or "reductions" in own:
        return "it is an h5Seurat file; in R, SeuratDisk::Convert(FILE, dest = 'h5ad')"
    return ""
