/** Rule: a file is named, in kebab-case, after its content. A vague name collects everything. */
import { pathOf } from "./paths.mjs"

const EMPTY_WORDS = /^(utils?|helpers?|misc|types|managers?|common|shared|stuff|lib)$/

export default {
  meta: { type: "suggestion", schema: [] },
  create(context) {
    const parts = pathOf(context.filename).split("/")
    return {
      Program(node) {
        for (const part of parts) {
          const name = part.replace(/(\.test)?\.tsx?$/, "")
          if (EMPTY_WORDS.test(name))
            context.report({ node, message: `"${name}" is too vague: name the file after its content` })
          else if (!/^[a-z0-9]+([-.][a-z0-9]+)*$/.test(name))
            context.report({ node, message: `"${name}": file names are kebab-case` })
        }
      },
    }
  },
}
