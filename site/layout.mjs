/** The frame of a page of the documentation site: navigation, search, the document, its neighbours. */

const escape = text => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")

function navigationList(sections, path, linkTo) {
  return sections
    .map(({ title, pages }) => {
      const isOpen = pages.some(page => page.path === path)
      const items = pages
        .filter(page => page.path.endsWith(".md"))
        .map(page => {
          const current = page.path === path ? ' aria-current="page"' : ""
          return `<li><a href="${linkTo(page.path)}"${current}>${escape(page.title)}</a></li>`
        })
      return `<details${isOpen ? " open" : ""}><summary>${escape(title)}</summary><ul>${items.join("")}</ul></details>`
    })
    .join("\n")
}

/** The pages before and after this one, in the order of the contents. */
function neighbours(sections, path, linkTo) {
  const pages = sections.flatMap(section => section.pages).filter(page => page.path.endsWith(".md"))
  const at = pages.findIndex(page => page.path === path)
  if (at < 0) return ""
  const link = (page, rel, words) =>
    page === undefined
      ? ""
      : `<a rel="${rel}" href="${linkTo(page.path)}"><small>${words}</small>${escape(page.title)}</a>`
  return `<nav class="neighbours" aria-label="Neighbouring pages">${link(pages[at - 1], "prev", "Previous")}${link(pages[at + 1], "next", "Next")}</nav>`
}

/** `linkTo(path)`: the address of a document, from this page. `root`: that of the site's root, from this page. */
export function page({ title, body, sections, path, linkTo, root, source }) {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title === "Hayloft" ? "Hayloft" : `${title} · Hayloft`)}</title>
<link rel="stylesheet" href="${root}/site.css">
</head>
<body>
<a class="skip" href="#document">Skip to the document</a>
<header>
<a class="name" href="${linkTo("README.md")}">Hayloft</a>
<form role="search" data-root="${root}">
<label for="search">Search the documents</label>
<input id="search" type="search" placeholder="Search" autocomplete="off" aria-controls="found">
<ul id="found" hidden></ul>
</form>
<a href="${linkTo("docs/README.md")}">Contents</a>
</header>
<div class="columns">
<nav class="contents" aria-label="Documents">
${navigationList(sections, path, linkTo)}
</nav>
<main id="document">
${body}
${neighbours(sections, path, linkTo)}
<footer><a href="${source}">Source of this page</a></footer>
</main>
</div>
<script src="${root}/search.js" defer></script>
</body>
</html>
`
}
