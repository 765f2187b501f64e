/**
 * Gives the memory of a buffer back at once; nothing can be read from it afterwards. As garbage it may lie there for long: browsers
 * collect megabytes outside their own heap late. A message that nobody takes any more carries it away; `buffer.transfer(0)` would
 * not free what the browser itself has made or read.
 * @param {ArrayBuffer} buffer
 */
export function given(buffer) {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(null, [buffer]);
  port1.close();
  port2.close();
}
