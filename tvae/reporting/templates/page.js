// The report: every chart and disk at its place.
const page = JSON.parse(document.getElementById("figures").textContent);
for (const place of document.querySelectorAll("[data-plot]")) makeChart(place, page.plots[place.dataset.plot]);
for (const place of document.querySelectorAll("[data-disk]")) makeDisk(place, page.disks[place.dataset.disk]);
