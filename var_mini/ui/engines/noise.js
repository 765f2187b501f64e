// Random numbers that are the same here and in Python: the Mersenne Twister mt19937 (Matsumoto and Nishimura 1998), seeded as the
// C++ standard says, and exponential noise -log(1 - u), as `exponential` in var_mini/generation/sampling.py writes it.

const WORDS = 624, AHEAD = 397; // length of the state, and the distance of the word that is mixed in

export class Noise {
  /** @param {number} seed  a whole number from 0 to 2^32 - 1 */
  constructor(seed) {
    const x = (this.state = new Uint32Array(WORDS));
    x[0] = seed;
    for (let i = 1; i < WORDS; i++) x[i] = Math.imul(1812433253, x[i - 1] ^ (x[i - 1] >>> 30)) + i;
    this.words = new Uint32Array(WORDS); // what is given out, from `next` on
    this.next = WORDS;
  }

  /** x[k + 624] = x[k + 397] ^ (upper bit of x[k], lower bits of x[k + 1]) A, for 624 words at a time, which are then tempered. */
  twist() {
    const x = this.state;
    for (let k = 0; k < WORDS; k++) {
      const y = (x[k] & 0x80000000) | (x[k + 1 < WORDS ? k + 1 : 0] & 0x7fffffff);
      x[k] = x[k + AHEAD < WORDS ? k + AHEAD : k + AHEAD - WORDS] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    for (let k = 0; k < WORDS; k++) {
      let y = x[k];
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      this.words[k] = y ^ (y >>> 18);
    }
    this.next = 0;
  }

  /** Fills an array with the next u in [0, 1): each is 53 bits of two words, the high one first. */
  uniform(values) {
    for (let i = 0; i < values.length; i++) {
      if (this.next === WORDS) this.twist();
      values[i] = ((this.words[this.next++] & 0x1fffff) * 4294967296 + this.words[this.next++]) * 2 ** -53;
    }
    return values;
  }
}

/** Exponential noise from a uniform number, rounded to float32 as in Python. It is never less than u, but for that rounding. */
export const exponential = (u) => Math.fround(-Math.log1p(-u));
