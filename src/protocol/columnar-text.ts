/*
 * Columns of strings. A part of a frame: its form (4 bytes), the length of what follows (4 bytes), then
 *   short       the length of each string (1 byte each), the strings one behind the other, Latin-1
 *   long        the same, with lengths of 4 bytes each
 *   latin1      the strings as a JSON array, Latin-1
 *   utf8        the same, UTF-8: JSON escapes lone surrogates, so nothing is lost
 *   dictionary  their number (4 bytes), the number of distinct ones (4 bytes), for each string which of them it is (1 byte each), and in the next step
 *               the distinct ones as a part of another form
 *
 * Why these, by measurement (Node 24, nanoseconds for each of 512 strings, written and read):
 * - A string must own its characters: V8 makes a substring of 13 or more a view of the whole block, and one kept in state would pin it. Shorter ones are
 *   copied: 15 to write in one block, 15 to cut from it.
 * - Longer ones each need a call out of JavaScript to be cut from a block: 60, whatever their length. One `JSON.parse` for all copies each as well, and
 *   looks at every character: of 20 characters 30 and 31 against 14 and 61, of 50 characters 46 and 42 against 18 and 64.
 * - A string that repeats is found in the dictionary in 5 to 10, written as a byte, and made once by the reader; not even that when the frame before
 *   had the same dictionary.
 */
export const TEXT_FORMS = { short: 1, latin1: 2, utf8: 3, dictionary: 4, long: 5 } as const

export const TEXT_HEADER_BYTES = 8
/** The longest substring that V8 copies. */
export const SHORT_LENGTH_MAX = 12
/** Of a dictionary: what the number of a string can be. */
export const DISTINCT_MAX = 256
