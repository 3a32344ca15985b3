# A web service with a database in memory, served by Puma.
require 'json'
require 'sinatra'
require 'sqlite3'

set :bind, '0.0.0.0'
set :port, 4567
set :server, 'puma'

DATABASE = SQLite3::Database.new ':memory:'
DATABASE.execute 'create table words (word text, length int)'

get '/' do
  'The service'
end

post '/words' do
  words = JSON.parse request.body.read
  words.each { |word| DATABASE.execute 'insert into words values (?, ?)', [word, word.length] }
  content_type :json
  JSON.generate DATABASE.execute('select length, count(*) from words group by length').to_h
end

delete '/words' do
  DATABASE.execute 'delete from words'
  'gone'
end

get '/table' do
  @rows = [%w[a 1], %w[b 2]]
  erb :table
end

get '/csv' do
  require 'csv'
  CSV.parse("name,size\nx,3\ny,4\n", headers: true).sum { |row| row['size'].to_i }.to_s
end

get '/encode' do
  '日本'.encode('Shift_JIS').bytesize.to_s
end

get '/yaml' do
  require 'yaml'
  require 'digest'
  require 'openssl'
  require 'zlib'
  document = YAML.load "list: [1, 2]\n"
  document['digest'] = Digest::SHA256.hexdigest('x').size
  document['hmac'] = OpenSSL::HMAC.hexdigest('SHA256', 'key', 'x').size
  document['packed'] = Zlib.deflate('x' * 1000).size < 100
  document.to_yaml
end
