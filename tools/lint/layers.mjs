/** Rule: imports follow the dependencies of tools/layers/layers.json and use the entry points. */
import { checkImport } from "../layers/rules.mjs"
import { importedPath, pathOf } from "./paths.mjs"

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    const checkSource = (source, isType = true) => {
      if (typeof source?.value !== "string") return
      const to = importedPath(path, source.value)
      const message = to === undefined ? undefined : checkImport(path, to, isType)
      if (message !== undefined) context.report({ node: source, message })
    }
    return {
      ImportDeclaration: node => checkSource(node.source, node.importKind === "type"),
      ExportNamedDeclaration: node => checkSource(node.source, node.exportKind === "type"),
      ExportAllDeclaration: node => checkSource(node.source),
      ImportExpression: node => checkSource(node.source),
      TSImportType: node => checkSource(node.source ?? node.argument?.literal),
    }
  },
}
