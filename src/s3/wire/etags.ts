/**
 * ETags as clients write them in conditions and documents: quoted or not, weak or not, in lists.
 */

/**
 * The ETags of a list, without quotes and without `W/`; `["*"]` where one of them is `*`. Commas
 * inside quotes do not separate.
 */
export function parseETags(text: string): readonly string[] {
  const etags: string[] = []
  for (const [, quoted, plain] of text.matchAll(/(?:W\/)?"([^"]*)(?:"|$)|([^\s,"]+)/g)) {
    if (plain === "*") return ["*"]
    const etag = quoted ?? plain
    // A quoted star is an ETag, which no object has; it must not pass for "any".
    if (etag !== undefined && etag !== "" && etag !== "*") etags.push(etag)
  }
  return etags
}
