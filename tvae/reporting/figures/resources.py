"""Style sheet and scripts of the page, as text; none of them needs a template engine."""

import functools
import importlib.resources


@functools.cache
def read(name: str) -> str:
    """A file of the package's templates."""
    folder = importlib.resources.files("tvae.reporting") / "templates"
    return (folder / name).read_text("utf-8")


def disk_page(description: str) -> str:
    """A page with one disk, from its description as JSON."""
    parts = {
        "STYLE": read("page.css"),
        # A label that ends a script element would end this one.
        "DATA": description.replace("</", "<\\/"),
        "SCRIPT": read("base.js") + read("disk.js"),
    }
    text = read("disk.html")
    for name, part in parts.items():
        text = text.replace(f"/*{name}*/", part)
    return text
