"""ICD-10-CM as a table of edges, and baselines that see the same split."""

import csv
import sys

import numpy as np


def write_edges(file, *, without=()):
    """Write chapters, sections and codes without 7th characters with their texts: 47,201 items.

    ``without`` names items to leave out with all below them: a test part that a choice of settings
    must not see.
    """
    try:
        import simple_icd_10_cm as icd
    except ModuleNotFoundError:
        sys.exit("skipped: needs the package simple-icd-10-cm")
    rows = [("ICD-10-CM", "", "")]
    for code in dict.fromkeys(icd.get_all_codes(with_dots=True)):
        # A section of a single category has the code of that category.
        if icd.is_chapter_or_block(code):
            above = icd.get_parent(code, prioritize_blocks=True)
            kind = "chapter" if icd.is_chapter(code) else "section"
            parent = f"chapter {above}" if above and icd.is_chapter(above) else "ICD-10-CM"
            text = icd.get_description(code, prioritize_blocks=True)
            rows.append((f"{kind} {code}", parent, text))
        if icd.is_category_or_subcategory(code) and not icd.is_extended_subcategory(code):
            above = icd.get_parent(code)
            parent = f"section {above}" if icd.is_category(code) else above
            rows.append((code, parent, icd.get_description(code)))
    lost = set(without)
    with open(file, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("name", "parent", "description"))
        for name, parent, text in rows:
            if name in lost or parent in lost:
                lost.add(name)
            else:
                table.writerow((name, parent, text))


def nearest_by_tfidf(known, seen, levels):
    """Share of right ancestors of the unseen items on some levels, by their nearest seen text."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = known.features["description"].astype(str)
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts[seen])
    reference = np.flatnonzero(seen & (known.level >= levels))
    index = vectors.transform(texts[reference]).T.tocsc()
    queries = np.flatnonzero(~seen)
    found = [
        reference[np.asarray((vectors.transform(texts[part]) @ index).todense()).argmax(1)]
        for part in np.array_split(queries, 16)
    ]
    return np.concatenate(found)
