/** Headers of an answer as the text that goes out: for answers that are written many times a second. */
import { checkHeaders } from "./framing-core.js"

export class HeaderLines {
  private constructor(
    /** Each line with its end. */
    readonly text: string,
  ) {}

  /** Name, value, name, value … Throws `internal` for what HTTP forbids. */
  static of(headers: readonly string[]): HeaderLines {
    checkHeaders(headers)
    return new HeaderLines(linesOf(headers))
  }

  /** Lines of which each value is known to hold nothing that HTTP forbids: of our own making, or checked before. */
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
