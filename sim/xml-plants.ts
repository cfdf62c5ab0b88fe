/** Planted bugs of the reader and the writer of XML, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const READER = "packages/base/src/text/xml-reader.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `XML: ${bug}`,
  edits,
  caughtBy,
})

export const XML_PLANTS: readonly TestedPlant[] = [
  plant("a request loses characters that XML cannot contain", "packages/protocols/src/s3/wire/xml", {
    file: "packages/base/src/text/xml-writer.ts",
    find: 'if (this.notCarried === "referenced") return referenced(text)',
    put: 'if (this.notCarried === "referenced") return escapeXml(text)',
  }),
  plant("requests may have processing instructions, as answers may", "packages/protocols/src/s3/wire/xml", {
    file: READER,
    find: 'const end = this.isLenient ? this.text.indexOf("?>", this.at + 2) : undefined',
    put: 'const end: number | undefined = this.text.indexOf("?>", this.at + 2)',
  }),
  plant("answers may nest as deeply as they like", "packages/protocols/src/s3/wire/xml", {
    file: READER,
    find: "if (this.open.length >= this.depthMax) throw",
    put: "if (this.open.length >= this.depthMax && !this.isLenient) throw",
  }),
  plant("an entity that is not known breaks an answer", "packages/client/src/parts", {
    file: READER,
    find: "if (character === undefined && !isLenient) throw",
    put: "if (character === undefined) throw",
  }),
]
