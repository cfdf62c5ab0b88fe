/**
 * Packing: many small messages between two threads as the bytes of one buffer, which is moved. The structured clone of a
 * channel takes several times as long, most of it for each small array of bytes.
 *
 * Promises  Plain data arrives as it was packed, but for two details: a lone surrogate of a text is U+FFFD, as in UTF-8, and
 *           -0 is 0. Arrays of bytes are views of the buffer that arrived: who keeps one for long copies it.
 * Refuses   Whole numbers (`bigint`) of more than 64 bits, and symbols.
 * Limits    `shapesMax` of LINK_LIMITS: the names of an object's fields are sent once for all such objects of a link.
 */
import { addExtension, Packr, Unpackr } from "msgpackr"
import { LINK_LIMITS } from "./limits.js"

/** A type of MessagePack's extensions that its library leaves free. */
const SET = 0x53

addExtension({
  Class: Set,
  type: SET,
  write: (set: ReadonlySet<unknown>) => [...set],
  read: (items: readonly unknown[]) => new Set(items),
})

/** The names of fields of each shape of objects that one side has sent. */
type Shapes = readonly (readonly string[])[]

export interface Packed {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** All shapes, if there are new ones since the last message that was sent. */
  readonly shapes: Shapes | undefined
}

/** One side of a link packs; `MessageUnpacker` is the other. */
export class MessagePacker {
  private shapes: Shapes = []
  private hasNew = false
  private readonly packr = new Packr({
    useRecords: true,
    maxSharedStructures: LINK_LIMITS.shapesMax,
    useToJSON: false,
    getStructures: () => this.shapes.map(names => [...names]),
    saveStructures: shapes => {
      this.shapes = parseShapes(shapes).map(names => [...names])
      this.hasNew = true
    },
  })

  pack(messages: readonly unknown[]): Packed {
    const bytes = new Uint8Array(this.packr.pack(messages))
    return { bytes, shapes: this.hasNew ? this.shapes : undefined }
  }

  /** The last message was sent. */
  sent(): void {
    this.hasNew = false
  }
}

/** Reads the messages of the other side in the order in which they were sent. */
export class MessageUnpacker {
  private shapes: Shapes = []
  private readonly unpackr = new Unpackr({
    useRecords: true,
    getStructures: () => this.shapes.map(names => [...names]),
  })

  unpack({ bytes, shapes }: Packed): readonly unknown[] {
    if (shapes !== undefined) this.shapes = shapes
    return parseMessages(this.unpackr.unpack(bytes))
  }
}

const parseShapes = (shapes: unknown): Shapes => shapes as Shapes
/** The same program packed it. */
const parseMessages = (messages: unknown): readonly unknown[] => messages as readonly unknown[]
