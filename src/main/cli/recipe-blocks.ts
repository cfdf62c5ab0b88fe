/**
 * Runnable blocks of the documentation: fenced as ```sh test=NAME needs=TOOL,TOOL. Blocks of one name
 * in one document are one script, in their order. Pure.
 */
export interface Recipe {
  readonly name: string
  readonly needs: readonly string[]
  readonly script: string
}

export function recipesOf(markdown: string): Recipe[] {
  const recipes = new Map<string, { needs: Set<string>; scripts: string[] }>()
  const fence = /^( *)```sh test=(\S+)(?: needs=(\S+))?[ \t]*\n([\s\S]*?)^\1```[ \t]*$/gm
  for (const [, indent = "", name = "", needs = "", body = ""] of markdown.matchAll(fence)) {
    const recipe = recipes.get(name) ?? { needs: new Set(), scripts: [] }
    for (const tool of needs.split(",").filter(tool => tool !== "")) recipe.needs.add(tool)
    recipe.scripts.push(body.replace(new RegExp(`^${indent}`, "gm"), ""))
    recipes.set(name, recipe)
  }
  return [...recipes].map(([name, { needs, scripts }]) => ({ name, needs: [...needs], script: scripts.join("\n") }))
}
