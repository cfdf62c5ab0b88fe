/** Files that the admin port serves in tests: two documents, and a console of three files. */
import type { StaticFiles } from "./contract.js"

const filesOf = (files: ReadonlyMap<string, string>): StaticFiles => ({
  list: async () => [...files.keys()],
  read: async name => {
    const text = files.get(name)
    return text === undefined ? undefined : new TextEncoder().encode(text)
  },
})

export const DOCUMENTS = filesOf(
  new Map([
    ["install.md", "# Install\n"],
    ["clients/restic.md", "# restic\n"],
  ]),
)

export const CONSOLE = filesOf(
  new Map(
    ["index.html", "assets/main-ABCD.js", "assets/main-ABCD.js.gz"].map(name => [name, `content of ${name}`] as const),
  ),
)
