/**
 * Names as stored: characters that cannot be seen, or that would reorder a name, have a mark in place of them. The text of
 * the page stays the name, so that a copy of it is right.
 */
const NAMED = new Map([
  [" ", "␣"],
  ["\t", "⇥"],
  ["\n", "↵"],
])
/**
 * Spaces at an end or beside another one, other white space, control characters, and invisible formats. Joiners are part of
 * emoji and of words, and are left alone.
 */
const UNSEEN = /(?<=^| ) | (?= |$)|[\p{Cc}\p{Zl}\p{Zp}]|(?!\u200c|\u200d)\p{Cf}|(?! )\p{Zs}/gu

interface NamePiece {
  readonly text: string
  /** The mark that is shown in place of the text; undefined: the text itself. */
  readonly mark: string | undefined
}

const markOf = (character: string): string =>
  NAMED.get(character) ?? `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`

/** The pieces of a name in their order; together their texts are the name. Pure. */
function piecesOf(name: string): readonly NamePiece[] {
  const pieces: NamePiece[] = []
  let at = 0
  for (const { 0: text, index } of name.matchAll(UNSEEN)) {
    if (index > at) pieces.push({ text: name.slice(at, index), mark: undefined })
    pieces.push({ text, mark: markOf(text) })
    at = index + text.length
  }
  if (at < name.length) pieces.push({ text: name.slice(at), mark: undefined })
  return pieces
}

export function NameText({ name }: { readonly name: string }) {
  return (
    <>
      {piecesOf(name).map(({ text, mark }, index) =>
        mark === undefined ? (
          text
        ) : (
          <span class="unseen" data-mark={mark} key={index}>
            {text}
          </span>
        ),
      )}
    </>
  )
}
