/**
 * Unused exports: a name that a file of packages/ exports and no other file imports, including tests and tools. It makes
 * a reader look for users that do not exist; without `export` the compiler reports whether the file itself needs
 * the name.
 */
import { EVERYTHING, namesOfFile } from "./names-of-files.mjs"

/**
 * Unused exports as `path name`, sorted. `sources`: text by path, of every file that may import; `others`: text that
 * names what it uses in ways of its own (tools, which import from dist/).
 */
export function unusedExports(sources, others = "") {
  const files = new Map([...sources].map(([path, text]) => [path, namesOfFile(path, text)]))
  const used = new Set()
  const mark = (path, name) => {
    const key = `${path} ${name}`
    if (used.has(key)) return
    used.add(key)
    // The name may come from any file that the entry point re-exports with `*`.
    for (const star of files.get(path)?.stars ?? []) mark(star, name)
  }
  for (const { uses } of files.values()) for (const { to, name } of uses) mark(to, name)
  const words = new Set(others.match(/\w+/g))
  return [...files]
    .filter(([path]) => path.startsWith("packages/"))
    .flatMap(([path, { exports }]) => [...new Set(exports)].map(name => [path, name]))
    .filter(([path, name]) => !used.has(`${path} ${name}`) && !used.has(`${path} ${EVERYTHING}`) && !words.has(name))
    .map(([path, name]) => `${path} ${name}`)
    .sort()
}
