/** The answer to a request for several ranges of an object: its bytes are read range by range, and never held. */
import { hexOf } from "@hayloft/base/bytes.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { ObjectBody, ObjectInfo } from "@hayloft/objects/contract.js"
import type { S3Answer, ObjectCall, PartOfObject } from "../../s3/index.js"
import { frameRanges, rangesOf } from "./ranges-core.js"

const BOUNDARY_BYTES = 16
const DEFAULT_TYPE = "application/octet-stream"

type OpenPart = (headersOnly: boolean, part: PartOfObject) => Soon<ObjectBody>

class FramedBody implements ObjectBody {
  readonly range = undefined
  readonly partChecksum = undefined

  constructor(
    readonly info: ObjectInfo,
    private readonly open: OpenPart,
    private readonly framed: ReturnType<typeof frameRanges>,
  ) {}

  lend(): undefined {
    return undefined
  }

  async *read(signal: AbortSignal, pieces?: PieceOwner): AsyncGenerator<Uint8Array> {
    for (const { head, range } of this.framed.parts) {
      const last = range.first + range.lengthBytes - 1
      const part = {
        range: { kind: "fromTo", first: range.first, last },
        conditions: { ifMatch: [this.info.etag] },
      } as const
      const body = await this.open(false, part)
      try {
        // After the first range is open: what refuses it can still be the answer.
        yield head
        yield* body.read(signal, pieces)
      } finally {
        body.close()
      }
    }
    yield this.framed.end
  }

  /** Each range is closed as soon as it was read. */
  close(): void {}
}

/** Throws `invalidRange`, and as a read does. `info`: of the object, as the conditions of the request have found it. */
export function answerRanges(
  { call, open }: { readonly call: ObjectCall; readonly open: OpenPart },
  info: ObjectInfo,
  items: readonly string[],
): { readonly contentType: string; readonly body: Extract<S3Answer["body"], { kind: "object" }> } {
  const { sizeBytes } = info
  const ranges = rangesOf(items, sizeBytes)
  const boundary = hexOf(call.context.random.bytes(BOUNDARY_BYTES))
  const framed = frameRanges(ranges, { boundary, contentType: info.headers.contentType ?? DEFAULT_TYPE, sizeBytes })
  const body = new FramedBody(info, open, framed)
  return {
    contentType: `multipart/byteranges;boundary=${boundary}`,
    body: { kind: "object", body, lengthBytes: framed.lengthBytes },
  }
}
