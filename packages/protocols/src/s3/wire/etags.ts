/**
 * ETags as clients write them in conditions and documents: quoted or unquoted, weak or strong, in lists.
 */

/**
 * The ETags of a list, without quotes and without `W/`; `["*"]` if one of them is `*`. Commas
 * inside quotes do not separate. A malformed one, such as `not-"a"`, is an ETag that no object has.
 */
export const parseETags = (text: string): readonly string[] => etagsIn(text, true)

/** Only the strong ETags: a weak one never matches if a byte-for-byte match is required (RFC 9110, 8.8.3.2). */
export const parseStrongETags = (text: string): readonly string[] => etagsIn(text, false)

function etagsIn(text: string, takesWeak: boolean): readonly string[] {
  const etags: string[] = []
  for (const [, weak, quoted, plain] of text.matchAll(/(W\/)?"([^"]*)(?:"|$)(?=[\s,]|$)|([^\s,]+)/g)) {
    if (plain === "*") return ["*"]
    if (weak !== undefined && !takesWeak) continue
    const etag = quoted ?? plain
    // A quoted star is an ETag that no object has; it must not match like an unquoted one.
    if (etag !== undefined && etag !== "" && etag !== "*") etags.push(etag)
  }
  return etags
}
