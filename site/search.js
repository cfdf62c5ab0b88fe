/** The search of the documentation site, in the browser: over the sections of all pages, fetched at the first letter. */
import MiniSearch from "minisearch"

const FOUND_MAX = 12

const form = document.querySelector("form[role=search]")
const input = form.querySelector("input")
const list = form.querySelector("ul")
let loading

async function load() {
  const entries = await (await fetch(`${form.dataset.root}/search.json`)).json()
  const index = new MiniSearch({
    fields: ["title", "section", "text"],
    storeFields: ["title", "section"],
    searchOptions: {
      boost: { title: 4, section: 3 },
      prefix: true,
      fuzzy: term => (term.length > 4 ? 0.2 : false),
      combineWith: "AND",
    },
  })
  index.addAll(entries)
  return index
}

function show(found) {
  list.replaceChildren(
    ...found.slice(0, FOUND_MAX).map(({ id, title, section }) => {
      const link = document.createElement("a")
      link.href = `${form.dataset.root}/${id}`
      link.textContent = section === "" ? title : `${title}: ${section}`
      const item = document.createElement("li")
      item.append(link)
      return item
    }),
  )
  if (found.length === 0) {
    const item = document.createElement("li")
    item.textContent = "Nothing was found."
    list.append(item)
  }
}

input.addEventListener("input", async () => {
  const words = input.value.trim()
  list.hidden = words === ""
  if (words === "") return
  loading ??= load()
  try {
    const index = await loading
    if (input.value.trim() === words) show(index.search(words))
  } catch {
    loading = undefined
    list.textContent = "The search needs a web server: a browser does not read its index from files."
  }
})
input.addEventListener("keydown", event => {
  if (event.key !== "Escape") return
  input.value = ""
  list.hidden = true
})
form.addEventListener("submit", event => {
  event.preventDefault()
  list.querySelector("a")?.click()
})
