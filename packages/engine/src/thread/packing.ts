/**
 * Packing: many small messages between two threads as the bytes of one buffer, which is moved. The structured clone of a
 * channel takes several times as long, most of it for each small array of bytes.
 *
 * Promises  Plain data arrives as it was packed, but for two details: a lone surrogate of a text is U+FFFD, as in UTF-8, and
 *           -0 is 0. Arrays of bytes are views of the buffer that arrived, unless it is long: who keeps one for long copies it.
 * Refuses   Whole numbers (`bigint`) of more than 64 bits, symbols, functions, and fields with a name of `RESERVED`.
 * Limits    `shapesMax` of LINK_LIMITS: the names of an object's fields are sent once for all such objects of a link.
 *           `viewedBytesMax`: an array of bytes keeps no longer message in memory.
 */
import { assert } from "@hayloft/base/assert.js"
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

/** Names that the library uses itself in its records of shapes, or that it changes. */
const RESERVED = ["__keys__", "__proto__"]

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
      const all = parseShapes(shapes).map(names => [...names])
      assert(!all.some(names => RESERVED.some(name => names.includes(name))), "fields have names of their own")
      this.shapes = all
      this.hasNew = true
    },
    writeFunction: () => assert(false, "messages are plain data"),
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
  private readonly viewing = this.unpackr(false)
  private readonly copying = this.unpackr(true)

  unpack({ bytes, shapes }: Packed): readonly unknown[] {
    if (shapes !== undefined) this.shapes = shapes
    const isLong = bytes.length > LINK_LIMITS.viewedBytesMax
    return parseMessages((isLong ? this.copying : this.viewing).unpack(bytes))
  }

  private unpackr(copyBuffers: boolean): Unpackr {
    return new Unpackr({ useRecords: true, copyBuffers, getStructures: () => this.shapes.map(names => [...names]) })
  }
}

const parseShapes = (shapes: unknown): Shapes => shapes as Shapes
/** The same program packed it. */
const parseMessages = (messages: unknown): readonly unknown[] => messages as readonly unknown[]
