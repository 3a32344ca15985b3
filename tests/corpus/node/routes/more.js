// What the first test does not ask for.
'use strict';

const express = require('express');
const crypto = require('node:crypto');
const dns = require('node:dns/promises');
const sharp = require('sharp');
const zlib = require('node:zlib');
const path = require('node:path');

const router = express.Router();

router.get('/webp', async (request, response) => {
  const text = Buffer.from('<svg width="20" height="10"><rect width="9" height="9"/></svg>');
  const bytes = await sharp(text).rotate(90, { background: 'red' }).webp().toBuffer();
  const { format, width, height } = await sharp(bytes).metadata();
  response.json({ format, width, height });
});

router.get('/local', async (request, response) => {
  const { address } = await dns.lookup('localhost', { family: 4 });
  response.json({
    address,
    hash: crypto.createHash('sha3-256').update('text').digest('hex').length,
    day: new Intl.DateTimeFormat('de', { weekday: 'long', timeZone: 'Asia/Tokyo' })
      .format(new Date(0)),
    packed: zlib.brotliCompressSync(Buffer.alloc(1 << 16)).length < 100,
  });
});

router.post('/form', express.urlencoded({ extended: true }), (request, response) => {
  response.json(request.body);
});

router.get('/source', (request, response) => {
  response.sendFile(path.join(__dirname, 'more.js'));
});

module.exports = router;
