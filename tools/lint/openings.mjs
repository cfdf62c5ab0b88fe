/**
 * Rule: a comment is a sentence with a subject. It does not open with a word after which the subject is missing, as in
 * "Undefined: no row", "Whether it is open", "What the row holds", "Where the next page begins", "As stored".
 */

/** The first words of such comments. */
const OPENING =
  /^(Undefined|Absent|Whether|What|Where|Why|Who|Of|Those of|Those that|That|As)\b(?! (?:soon|long|far) as )/

/** The text of a comment, without its stars and tags. */
const textOf = ({ value }) => value.replace(/^[*\s]+/, "")

/** The opening without a subject of a text of prose, if it has one. */
export const openingOf = text => OPENING.exec(text)?.[1]

export default {
  meta: { type: "suggestion", schema: [] },
  create(context) {
    const { sourceCode } = context
    return {
      Program() {
        let before
        for (const comment of sourceCode.getAllComments()) {
          // A line comment below another one goes on with its sentence.
          const isFurther =
            comment.type === "Line" && before?.type === "Line" && before.loc.end.line + 1 === comment.loc.start.line
          before = comment
          const opening = isFurther ? undefined : openingOf(textOf(comment))
          if (opening === undefined) continue
          const message = `a comment is a sentence with a subject; this one opens with "${opening}": say who or what does what`
          context.report({ loc: comment.loc, message })
        }
      },
    }
  },
}
