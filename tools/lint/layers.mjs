/** Rule: imports follow the dependencies of tools/layers/layers.json and use the entry points. */
import { judgeImport } from "../layers/judge.mjs"
import { importedPath, pathOf } from "./paths.mjs"

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    const judge = source => {
      if (typeof source?.value !== "string") return
      const to = importedPath(path, source.value)
      const message = to === undefined ? undefined : judgeImport(path, to)
      if (message !== undefined) context.report({ node: source, message })
    }
    return {
      ImportDeclaration: node => judge(node.source),
      ExportNamedDeclaration: node => judge(node.source),
      ExportAllDeclaration: node => judge(node.source),
      ImportExpression: node => judge(node.source),
      TSImportType: node => judge(node.source ?? node.argument?.literal),
    }
  },
}
