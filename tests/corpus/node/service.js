// A web service with a template engine and pictures made by a native module.
'use strict';

const crypto = require('node:crypto');
const dns = require('node:dns/promises');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const zlib = require('node:zlib');

const express = require('express');
const handlebars = require('handlebars');
const sharp = require('sharp');

const app = express();
const front = handlebars.compile(readFileSync(path.join(__dirname, 'views/front.hbs'), 'utf8'));

app.get('/', (request, response) => {
  response.type('html').send(front({ title: 'The service', things: ['one', 'two'] }));
});

app.post('/echo', express.json(), (request, response) => {
  response.json({ sum: request.body.numbers.reduce((a, b) => a + b, 0) });
});

app.get('/picture', async (request, response) => {
  const picture = sharp({
    create: { width: 64, height: 48, channels: 3, background: 'teal' },
  });
  const bytes = await picture.resize(32).png().toBuffer();
  const { format, width, height } = await sharp(bytes).metadata();
  response.json({ format, width, height });
});

app.get('/webp', async (request, response) => {
  const text = Buffer.from('<svg width="20" height="10"><rect width="9" height="9"/></svg>');
  const bytes = await sharp(text).rotate(90, { background: 'red' }).webp().toBuffer();
  const { format, width, height } = await sharp(bytes).metadata();
  response.json({ format, width, height });
});

app.get('/system', async (request, response) => {
  const { address } = await dns.lookup('localhost', { family: 4 });
  response.json({
    address,
    hash: crypto.createHash('sha3-256').update('text').digest('hex').length,
    day: new Intl.DateTimeFormat('de', { weekday: 'long', timeZone: 'Asia/Tokyo' })
      .format(new Date(0)),
    packed: zlib.brotliCompressSync(Buffer.alloc(1 << 16)).length < 100,
  });
});

app.post('/form', express.urlencoded({ extended: true }), (request, response) => {
  response.json(request.body);
});

app.get('/source', (request, response) => {
  response.sendFile(path.join(__dirname, 'package.json'));
});

// Loaded when it is first asked for, as many do.
app.use('/late', (request, response) => require('./routes/late')(request, response));

const server = app.listen(3000, () => console.log('listening'));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
