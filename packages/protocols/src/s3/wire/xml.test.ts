import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import assert from "node:assert/strict"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  childNamed,
  childrenNamed,
  childText,
  parseXml,
  parseXmlInPieces,
  parseXmlLeniently,
  parseXmlRoot,
  requiredText,
  XML_DEPTH_MAX,
} from "@hayloft/base/text/xml-reader.js"
import type { XmlElement, XmlLimits } from "@hayloft/base/text/xml-reader.js"
import { escapeXml, xmlDocument, XmlWriter } from "./xml-writer.js"

/** Processor time, so that a busy machine causes no failure; bounds are far above linear time, far below quadratic. */
const cpuMs = (): number => process.cpuUsage().user / 1000

const bytesOf = (text: string) => new TextEncoder().encode(text)
const read = (text: string, limits?: XmlLimits) => parseXml(bytesOf(text), limits)
const refused = (text: string | Uint8Array, what?: string, limits?: XmlLimits) =>
  assert.throws(
    () => parseXml(typeof text === "string" ? bytesOf(text) : text, limits),
    error => isFailure(error, "malformedXml"),
    what,
  )

/** The characters that XML 1.0 can contain (section 2.2). */
const isCarried = (point: number): boolean =>
  point >= 0x20
    ? (point < 0xd800 || point > 0xdfff) && point !== 0xfffe && point !== 0xffff
    : [9, 10, 13].includes(point)

const anyCodePoint = fc
  .array(fc.integer({ min: 0, max: 0x10ffff }).filter(isCarried), { maxLength: 20 })
  .map(points => String.fromCodePoint(...points))

test("every text that XML 1.0 can contain is read back exactly as it was written", () => {
  fc.assert(
    fc.property(fc.array(anyCodePoint, { maxLength: 8 }), keys => {
      const document = xmlDocument("Delete", xml => {
        for (const key of keys) xml.group("Object", object => object.text("Key", key))
      })
      const root = parseXmlRoot(document, "Delete")
      assert.deepEqual(
        childrenNamed(root, "Object").map(object => requiredText(object, "Key")),
        keys,
      )
    }),
    { numRuns: runsOf(200) },
  )
})

test("in a request every text is read back exactly, with references for what XML 1.0 cannot contain", () => {
  assert.equal(new XmlWriter("referenced").text("A", "\u0000<\uffff&").toString(), "<A>&#0;&lt;&#65535;&amp;</A>")
  const anyPoint = fc
    .array(
      fc.oneof(
        fc.integer({ min: 0, max: 0x40 }),
        fc.integer({ min: 0, max: 0x10ffff }).filter(point => point < 0xd800 || point > 0xdfff),
      ),
      { maxLength: 20 },
    )
    .map(points => String.fromCodePoint(...points))
  fc.assert(
    fc.property(anyPoint, text => {
      const xml = new XmlWriter("referenced").text("Key", text)
      assert.equal(read(xml.toString()).text, text)
      assert.ok(xml.isExact)
    }),
  )
})

test("a lenient reader accepts what other stores write, and no more of other kinds", () => {
  const lenient = (text: string, limits: XmlLimits = { bytesMax: Infinity, elementsMax: 10, depthMax: 3 }) =>
    parseXmlLeniently(text, limits)
  const root = lenient(
    '\ufeff <?x?><?xml version="1.0"?>\n<s:A><K a="&c;">1 < 2 &b; &#xd800; &amp; & <![CDATA[<]]></K></s:A>',
  )
  assert.deepEqual([root.name, root.children[0]?.text], ["A", "1 < 2 &b; &#xd800; & & <"])
  for (const bad of [
    "x",
    "<A>",
    "<A></B>",
    "<A/>x",
    "< <A/>",
    "<?",
    "<!DOCTYPE a><A/>",
    "<A b/>",
    "<A><A><A><A/></A></A></A>",
  ])
    assert.throws(
      () => lenient(bad),
      (error: unknown) => isFailure(error, "malformedXml"),
      bad,
    )
  assert.throws(
    () => lenient(`<A>${"<B/>".repeat(10)}</A>`),
    (error: unknown) => isFailure(error, "malformedXml"),
  )
})

test("characters that parsers usually normalise are written as references", () => {
  assert.equal(escapeXml("a&<>\"'\r\n\tb"), "a&amp;&lt;&gt;&quot;&apos;&#13;&#10;&#9;b")
  const text = new TextDecoder().decode(
    xmlDocument("R", xml => xml.text("A", 1).text("B", undefined).empty("C").text("D", true)),
  )
  assert.equal(
    text,
    '<?xml version="1.0" encoding="UTF-8"?>\n<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><A>1</A><C/><D>true</D></R>',
  )
  const error = xmlDocument("Error", xml => xml.text("Code", "X"), { namespace: false, declaration: false })
  assert.equal(new TextDecoder().decode(error), "<Error><Code>X</Code></Error>")
})

test("characters that XML 1.0 cannot contain become U+FFFD, and the writer reports it", () => {
  for (const character of ["\u0000", "\u0008", "\u000b", "\u001f", "\ufffe", "\uffff"]) {
    const xml = new XmlWriter().text("A", "\r\n\t\ufffd\u007f")
    assert.ok(xml.isExact)
    assert.equal(xml.text("B", `b${character}&`).isExact, false)
    assert.equal(xml.toString(), "<A>&#13;&#10;&#9;\ufffd\u007f</A><B>b\ufffd&amp;</B>")
  }
})

test("prefixes, comments, CDATA, declarations, blanks and references are understood", () => {
  const root = read(
    `\ufeff<?xml version='1.0' encoding="utf-8" standalone='yes' ?>\n<!-- a -->\n<s3:Delete xmlns:s3="x" a='1&amp;2' xsi:type="T">` +
      `<s3:Object ><Key> a &#13;&#x1;&#0; <!-- b --><![CDATA[<&]]>&quot;</Key></s3:Object >\n<Quiet/></s3:Delete>\n<!-- c --> `,
  )
  assert.equal(root.name, "Delete")
  assert.deepEqual(
    [...root.attributes],
    [
      ["a", "1&2"],
      ["type", "T"],
    ],
  )
  const object = childNamed(root, "Object")
  assert.ok(object)
  assert.equal(childText(object, "Key"), ' a \r\u0001\u0000 <&"')
  assert.equal(childText(root, "Quiet"), "")
  assert.equal(childText(root, "Missing"), undefined)
})

test("literal line ends and control characters are kept as sent", () => {
  assert.equal(read("<a>x\r\ny\rz\u0001</a>").text, "x\r\ny\rz\u0001")
})

test("hostile and broken documents are refused", () => {
  const documents = [
    "",
    " ",
    "x",
    "<",
    "<a",
    "<a>",
    "</a>",
    "<a></b>",
    "<a/><b/>",
    "<a></a>x",
    "x<a/>",
    "<a b/>",
    "<a b=c/>",
    '<a b="1" b="2"/>',
    '<a b="<"/>',
    '<a b="1"c="2"/>',
    "<a b='1/>",
    "<1/>",
    "<a:b:c/>",
    "<:a/>",
    "<a>&b;</a>",
    "<a>&amp</a>",
    "<a>& </a>",
    "<a>&#xd800;</a>",
    "<a>&#x110000;</a>",
    "<a>&#;</a>",
    "<a>&#x;</a>",
    "<a>&#-1;</a>",
    "<a>&lt</a>",
    "<a><!-- -- --></a>",
    "<a><!-- </a>",
    "<a><![CDATA[</a>",
    "<![CDATA[x]]>",
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    "<a><?php x?></a>",
    "<?xml-stylesheet?><a/>",
    ' <?xml version="1.0"?><a/>',
    '<?xml version="1.0"?><?xml version="1.0"?><a/>',
    "<?xml?><a/>",
    '<?xml version="1.0" encoding="utf-16"?><a/>',
    '<?xml version="2.0"?><a/>',
    "<a / >",
    "<a></a",
    "< a/>",
  ]
  for (const document of documents) refused(document, document)
  refused(Uint8Array.of(0xff, 0xfe, 0x3c, 0x00, 0x61, 0x00), "UTF-16")
  refused(Uint8Array.of(0x3c, 0x61, 0x3e, 0xff, 0x3c, 0x2f, 0x61, 0x3e), "broken UTF-8")
})

test("size, depth and number of elements are bounded", () => {
  const nested = (depth: number) => `${"<a>".repeat(depth)}${"</a>".repeat(depth)}`
  assert.equal(read(nested(XML_DEPTH_MAX)).name, "a")
  refused(nested(XML_DEPTH_MAX + 1))
  refused(`<a>${"x".repeat(1024 * 1024)}</a>`, "over 1 MiB")
  const limits = { bytesMax: 100, elementsMax: 3 }
  assert.equal(read("<a><b/><c/></a>", limits).children.length, 2)
  refused("<a><b/><c/><d/></a>", "too many elements", limits)
})

test("bombs of a megabyte are read or refused quickly", () => {
  const million = 1_000_000
  const bombs = [
    "<a>".repeat(million / 3),
    "<a/>".repeat(million / 4),
    `<a>${"&amp;".repeat(million / 6)}</a>`,
    `<a>${"&".repeat(million)}</a>`,
    `<a ${"b='' ".repeat(million / 6)}/>`,
    `<a ${" ".repeat(million)}`,
    `<a${" b".repeat(million / 3)}/>`,
    `<${"a".repeat(million)}`,
    `<!--${"-".repeat(million)}`,
    `<a>${"<!---->".repeat(million / 8)}</a>`,
    `<a>${"<![CDATA[]]>".repeat(million / 13)}</a>`,
    `<a ${Array.from({ length: 80_000 }, (_, i) => `b${i}=''`).join(" ")}/>`,
    `<?xml version="1.0"${" ".repeat(million)}`,
    `<a>${"<b>x</b>".repeat(19_999)}</a>`,
    "<".repeat(million),
    `<a>${"]]>".repeat(million / 4)}</a>`,
    `<a b="${"&#x0000041;".repeat(80_000)}"/>`,
  ]
  for (const bomb of bombs) {
    const started = cpuMs()
    try {
      read(bomb)
    } catch (error) {
      assert.ok(isFailure(error, "malformedXml"))
    }
    const tookMs = cpuMs() - started
    assert.ok(tookMs < 8000, `${bomb.slice(0, 20)} took ${tookMs} ms`)
  }
})

test("a delete of a thousand long keys is read in milliseconds", () => {
  const document = xmlDocument("Delete", xml => {
    for (let i = 0; i < 1000; i += 1) xml.group("Object", object => object.text("Key", `${"k&".repeat(300)}${i}`))
  })
  const started = cpuMs()
  const root = parseXml(document, { bytesMax: 4 * 1024 * 1024, elementsMax: 20_000 })
  assert.equal(root.children.length, 1000)
  assert.ok(cpuMs() - started < 4000)
})

/** A slow reference reader: splits the documents that this test writes. */
const tree: fc.Arbitrary<XmlElement> = fc.letrec<{ element: XmlElement }>(tie => ({
  element: fc.record(
    {
      name: fc.constantFrom("a", "Key", "B.c-d_1"),
      text: anyCodePoint,
      children: fc.oneof({ maxDepth: 4 }, fc.constant([]), fc.array(tie("element"), { maxLength: 3 })),
      attributes: fc.constant(new Map<string, string>()),
    },
    { noNullPrototype: true },
  ),
})).element

const print = ({ name, text, children }: XmlElement): string =>
  `<${name}>${escapeXml(text)}${children.map(print).join("")}</${name}>`

test("any tree is read back", () => {
  fc.assert(fc.property(tree, element => assert.deepEqual(read(print(element)), element)))
})

test("any input gives a tree or malformedXml", () => {
  const pieces = fc.constantFrom(
    "<a>",
    "</a>",
    "<b",
    "/>",
    ">",
    "&amp;",
    "&#",
    ";",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "?>",
    "x",
    " ",
    "'",
    '"',
    "=",
    "<!D",
    "\u0000",
    ":",
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces, { maxLength: 30 }).map(parts => parts.join("")),
      ),
      text => {
        try {
          read(text)
        } catch (error) {
          assert.ok(isFailure(error, "malformedXml"), String(error))
        }
      },
    ),
    { numRuns: runsOf(1_000) },
  )
})

test("repeated or nested elements in place of one text are refused", () => {
  const root = read("<a><b>1</b><b>2</b><c><d/></c></a>")
  for (const name of ["b", "c"])
    assert.throws(
      () => childText(root, name),
      error => isFailure(error, "malformedXml"),
    )
  assert.throws(
    () => requiredText(root, "missing"),
    error => isFailure(error, "malformedXml"),
  )
  assert.throws(
    () => parseXmlRoot(bytesOf("<a/>"), "b"),
    error => isFailure(error, "malformedXml"),
  )
})

test("a document that is read in pieces is the same, pauses now and then, and is refused alike", async () => {
  const document = xmlDocument("Many", xml => {
    for (let i = 0; i < 10_000; i += 1) xml.group("Part", part => part.text("Number", String(i)).text("ETag", "&x"))
  })
  const limits = { bytesMax: document.length, elementsMax: 30_001 }
  let pauses = 0
  const pause = async (): Promise<void> => void (pauses += 1)
  assert.deepEqual(await parseXmlInPieces(document, limits, pause), parseXml(document, limits))
  assert.ok(pauses > 3 && pauses < 1000, `${pauses} pauses`)
  const isMalformed = (error: unknown) => isFailure(error, "malformedXml")
  await assert.rejects(parseXmlInPieces(document.subarray(0, -9), limits, pause), isMalformed)
  await assert.rejects(parseXmlInPieces(document, { ...limits, elementsMax: 30_000 }, pause), isMalformed)
  await assert.rejects(parseXmlInPieces(document, { ...limits, bytesMax: 100 }, pause), isMalformed)
})
