/**
 * The few values that tests read from S3's XML answers, by regular expression.
 *
 * Good for documents without attributes on the requested elements and without nesting of an element
 * inside one of its own name; S3's are such.
 */
const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }

/** Resolves the five entities and numeric references. */
export const unescapeXml = (text: string): string =>
  text.replace(/&(#x[0-9a-fA-F]+|#[0-9]+|\w+);/g, (whole, name: string) => {
    if (name.startsWith("#x")) return String.fromCodePoint(parseInt(name.slice(2), 16))
    if (name.startsWith("#")) return String.fromCodePoint(parseInt(name.slice(1), 10))
    return NAMED[name] ?? whole
  })

/** Escapes text for a request document; control characters become numeric references. */
export const escapeXml = (text: string): string =>
  text
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;")
    .replace(/[\u0000-\u001f]/g, character => `&#x${character.charCodeAt(0).toString(16)};`)

/** Inner XML of every `<name>` in document order; an empty element gives "". */
export function elements(xml: string, name: string): string[] {
  const found = xml.matchAll(new RegExp(`<${name}(?: [^>]*)?(?:/>|>([\\s\\S]*?)</${name}>)`, "g"))
  return [...found].map(match => match[1] ?? "")
}

/** Text of the first `<name>`; undefined if there is no such element. */
export function text(xml: string, name: string): string | undefined {
  const [first] = elements(xml, name)
  return first === undefined ? undefined : unescapeXml(first)
}

export const texts = (xml: string, name: string): string[] => elements(xml, name).map(unescapeXml)

/** Text of the first `<name>` that stands directly below the root, past the entries of a list. */
export function topText(xml: string, name: string): string | undefined {
  const bare = xml.replace(/<(Contents|CommonPrefixes|Version|DeleteMarker|Upload|Part)>[\s\S]*?<\/\1>/g, "")
  return text(bare, name)
}
