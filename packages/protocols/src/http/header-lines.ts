/** Headers of a response as wire text, for responses that are written many times a second. */
import { checkHeaders } from "./framing-core.js"

export class HeaderLines {
  private constructor(
    /** Each line with its line end. */
    readonly text: string,
  ) {}

  /** Name, value, name, value … Throws `internal` for characters that HTTP forbids. */
  static of(headers: readonly string[]): HeaderLines {
    checkHeaders(headers)
    return new HeaderLines(linesOf(headers))
  }

  /** Lines whose values hold nothing that HTTP forbids: constants, or text checked before. */
  static ofChecked(text: string): HeaderLines {
    return new HeaderLines(text)
  }

  and(more: HeaderLines): HeaderLines {
    return new HeaderLines(this.text + more.text)
  }

  /** Name, value, name, value … */
  flat(): readonly string[] {
    const lines = this.text.split("\r\n").slice(0, -1)
    return lines.flatMap(line => {
      const colon = line.indexOf(":")
      return [line.slice(0, colon), line.slice(colon + 2)]
    })
  }
}

export function linesOf(headers: readonly string[]): string {
  let text = ""
  for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i] ?? ""}: ${headers[i + 1] ?? ""}\r\n`
  return text
}
