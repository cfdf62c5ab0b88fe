/**
 * Rule: only a checkpoint writes the metadata store. Any other commit would have no
 * position in the log, and a crash would restore a state that never existed.
 */
import { isCheck, pathOf } from "./paths.mjs"

const ALLOWED =
  /^packages\/engine\/src\/device\/checkpoint\/checkpoint[^/]*\.ts$|^packages\/base\/src\/seams\/store\/|^packages\/engine\/src\/table\/|^packages\/node\/src\/metadata\/checkpoint-job\.ts$|^packages\/engine\/src\/volume-store\/index-upkeep\.ts$|^sim\/world\/metadata-scenarios\.ts$/
const MESSAGE =
  "only a checkpoint writes the metadata store (packages/engine/src/device/checkpoint/checkpoint*.ts): append to the commit log instead"

/** Other objects with a `commit`, by name, since rules have no types. */
const OTHERS = new Set(["core", "log", "stoppedStore"])
const isOther = ({ type, name, property }) => type === "ThisExpression" || OTHERS.has(name ?? property?.name)

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (isCheck(path) || ALLOWED.test(path)) return {}
    return {
      ImportSpecifier(node) {
        if ((node.imported.name ?? node.imported.value) === "StoreWriter") context.report({ node, message: MESSAGE })
      },
      CallExpression(node) {
        const { callee } = node
        if (callee.type !== "MemberExpression") return
        const opens = callee.property.name === "openWriter"
        const commits = callee.property.name === "commit" && !isOther(callee.object)
        if (opens || commits) context.report({ node, message: MESSAGE })
      },
    }
  },
}
