/**
 * The characters that HTTP allows in names and values of headers. What is stored as a header must pass, or no answer could
 * carry it.
 *
 * Source  RFC 9110 sections 5.1 and 5.5; values are bytes, one character a byte.
 */
const NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

export const isHeaderName = (text: string): boolean => NAME.test(text)

export const isHeaderValue = (text: string): boolean => VALUE.test(text)

/** Returns true if the name may follow a prefix such as `x-amz-meta-`; with the prefix, an empty name is a header's name. */
const isRestOfName = (text: string): boolean => text === "" || NAME.test(text)

/** Returns true if a header can carry the item of user metadata. */
export const isMetadataItem = ([name, value]: readonly [name: string, value: string]): boolean =>
  isRestOfName(name) && VALUE.test(value)

/** The items that a header can carry; mostly all, and then the same list. */
export const shownMetadata = <Item extends readonly [name: string, value: string]>(
  items: readonly Item[],
): readonly Item[] => (items.every(isMetadataItem) ? items : items.filter(isMetadataItem))
