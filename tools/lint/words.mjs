/**
 * Rule: comments and names use the field's terms. The tables list retired words, each with its replacement;
 * tools/docs.mjs applies the first table to documents as well.
 */

/** Words and phrases of prose. */
export const RETIRED_PHRASES = {
  anew: "again, or the action itself: rebuilt, restarted",
  "birth note": "recovery header",
  "by and by": "gradually",
  chore: "job",
  distrusted: "suspect",
  "for good": "permanently",
  hears: "learns, receives",
  "in vain": "without effect, or the outcome itself",
  "lets go": "releases",
  overlay: "memtable",
  owes: "lacks, has still to write",
  "re-coding": "re-encoding",
  "re-coded": "re-encoded",
  "roll call": "integrity audit",
  tranquility: "throttle",
  whoever: "the caller, the client, any user",
}

/** Words within names, split by `camelCase`. */
export const RETIRED_NAMES = {
  anew: "again",
  authority: "permissions",
  chore: "job",
  distrusted: "suspect",
  effort: "evaluation budget",
  living: "service (a task), live (data)",
  overlay: "memtable",
  recode: "reencode",
  recoding: "reencoding",
  seat: "replica handle",
  survey: "shard scan",
  tranquility: "throttle",
  vain: "failed",
  whoever: "caller",
}

const singular = word => word.replace(/s$/, "")
const partsOf = name => name.split(/(?=[A-Z])|_/).map(part => part.toLowerCase())
const PHRASES = new RegExp(`\\b(${Object.keys(RETIRED_PHRASES).join("|")})s?\\b`, "gi")

/** The retired phrases in a text, each as `{ phrase, instead }`. */
export const retiredIn = text =>
  [...text.matchAll(PHRASES)].map(([, phrase]) => ({ phrase, instead: RETIRED_PHRASES[phrase.toLowerCase()] }))

/** Names from standards (URIs, HTTP) and from formats on disk, which cannot change. */
const FIXED = new Set(["authority"])
const FIXED_IN =
  /^packages\/base\/src\/(http\/uri(\.test)?|rows\/families)\.ts$|^packages\/protocols\/src\/s3\/wire\/|^conformance\//

export default {
  meta: { type: "suggestion", schema: [] },
  create(context) {
    const path = context.filename
    const isFixed = name => FIXED.has(name) && FIXED_IN.test(path.slice(path.search(/(packages|conformance)\//)))
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments())
          for (const { phrase, instead } of retiredIn(comment.value))
            context.report({ loc: comment.loc, message: `"${phrase}" is a retired word: write "${instead}"` })
      },
      Identifier(node) {
        for (const part of partsOf(node.name)) {
          const instead = RETIRED_NAMES[part] ?? RETIRED_NAMES[singular(part)]
          if (instead !== undefined && Object.hasOwn(RETIRED_NAMES, singular(part)) && !isFixed(node.name))
            context.report({ node, message: `"${part}" in a name is a retired word: use "${instead}"` })
        }
      },
    }
  },
}
